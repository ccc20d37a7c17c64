rule extract:
    input:
        store=ancient("results/{dataset}/tiles/{corruption}.zarr"),
        manifest="results/{dataset}/tiles/{corruption}.manifest.json",
        checkpoint=checkpoint_file,
    output:
        store=directory("results/{dataset}/features/{model}/{corruption}.zarr"),
        manifest="results/{dataset}/features/{model}/{corruption}.manifest.json",
    log:
        "logs/extract/{dataset}.{model}.{corruption}.log",
    benchmark:
        "logs/extract/{dataset}.{model}.{corruption}.benchmark.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: 8
    resources:
        gpu=0 if config["device"] == "cpu" else 1,
        mem_mb=16000,
        runtime=480,
    params:
        spec=extraction_spec,
        code=extraction_code,
    script:
        "../workflow/scripts/extract.py"

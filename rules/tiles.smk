rule present_classes:
    input:
        raw=raw_files,
        generated=generated_folder,
    output:
        table="results/{dataset}/present_classes/{source}.csv",
    log:
        "logs/present_classes/{dataset}.{source}.log",
    benchmark:
        "logs/present_classes/{dataset}.{source}.benchmark.tsv"
    wildcard_constraints:
        source="[^/]+",
    conda:
        "../envs/core.yaml"
    threads: min(4, config["threads"])
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        spec=present_classes_spec,
        code=reader_code("present_classes"),
    script:
        "../workflow/scripts/present_classes.py"


rule index:
    input:
        raw=raw_files,
        generated=generated_folder,
        present=present_classes_files,
    output:
        images=report(
            "results/{dataset}/images.csv",
            caption="../workflow/report/images.rst",
            category="Tables",
            subcategory="data sets",
            labels={"table": "images of {dataset}", "format": "CSV"},
        ),
        classes="results/{dataset}/classes.csv",
    log:
        "logs/index/{dataset}.log",
    benchmark:
        "logs/index/{dataset}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(4, config["threads"])
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        spec=index_spec,
        code=reader_code("index"),
    script:
        "../workflow/scripts/index.py"


rule tile:
    input:
        images="results/{dataset}/images.csv",
        generated=generated_folder,
    output:
        store=directory("results/{dataset}/tiles/clean.zarr"),
        manifest="results/{dataset}/tiles/clean.manifest.json",
    log:
        "logs/tile/{dataset}.log",
    benchmark:
        "logs/tile/{dataset}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(4, config["threads"])
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        spec=tiling_spec,
        code=reader_code("tile"),
    script:
        "../workflow/scripts/tile.py"


rule label:
    input:
        images="results/{dataset}/images.csv",
        generated=generated_folder,
    output:
        store=directory("results/{dataset}/labels.zarr"),
        manifest="results/{dataset}/labels.manifest.json",
    log:
        "logs/label/{dataset}.log",
    benchmark:
        "logs/label/{dataset}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(4, config["threads"])
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        spec=tiling_spec,
        code=reader_code("label"),
    script:
        "../workflow/scripts/label.py"

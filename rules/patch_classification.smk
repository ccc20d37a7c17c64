rule fit_probe:
    input:
        unpack(black_of_variant),
        tokens=ancient("results/{dataset}/features/{model}/clean.zarr"),
        tokens_manifest="results/{dataset}/features/{model}/clean.manifest.json",
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
    output:
        probe="results/{dataset}/probes/{model}{variant}.safetensors",
    log:
        "logs/fit_probe/{dataset}.{model}{variant}.log",
    benchmark:
        "logs/fit_probe/{dataset}.{model}{variant}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(8, config["threads"])
    resources:
        mem_mb=more(8000),
        runtime=more(240),
    params:
        spec=lambda wildcards: spec(specs.probe(config, wildcards.model, wildcards.variant.removeprefix("@"))),
        code=code("fit_probe"),
    script:
        "../workflow/scripts/fit_probe.py"


rule patch_classification:
    input:
        unpack(black_of_variant),
        bank=ancient("results/{dataset}/features/{model}/clean.zarr"),
        bank_manifest="results/{dataset}/features/{model}/clean.manifest.json",
        tokens=ancient("results/{dataset}/features/{model}/{corruption}.zarr"),
        tokens_manifest="results/{dataset}/features/{model}/{corruption}.manifest.json",
        tiles=ancient("results/{dataset}/tiles/{corruption}.zarr"),
        tiles_manifest="results/{dataset}/tiles/{corruption}.manifest.json",
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
        probe="results/{dataset}/probes/{model}{variant}.safetensors",
    output:
        rows="results/{dataset}/patch_classification/{model}{variant}.{corruption}.parquet",
        store=directory("results/{dataset}/predictions/{model}{variant}/{corruption}.zarr"),
        manifest="results/{dataset}/predictions/{model}{variant}/{corruption}.manifest.json",
    log:
        "logs/patch_classification/{dataset}.{model}{variant}.{corruption}.log",
    benchmark:
        "logs/patch_classification/{dataset}.{model}{variant}.{corruption}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=search_gpus,
        mem_mb=more(8000),
        runtime=more(240),
    params:
        spec=lambda wildcards: spec(
            specs.patch_classification(
                config,
                wildcards.dataset,
                wildcards.model,
                wildcards.variant.removeprefix("@"),
                wildcards.corruption,
            )
        ),
        code=code("patch_classification"),
    script:
        "../workflow/scripts/patch_classification.py"

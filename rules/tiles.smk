rule present_classes:
    input:
        raw=lambda wildcards: inputs.raw_manifest(config, wildcards.dataset),
        generated=lambda wildcards: ancient(inputs.generated_folder(config, wildcards.dataset)),
        fetched=lambda wildcards: awaited(inputs.awaited_data(config, wildcards.dataset)),
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
        mem_mb=more(2000),
        runtime=more(60),
    params:
        spec=lambda wildcards: spec(specs.present_classes(config, wildcards.dataset, wildcards.source)),
        raw=lambda wildcards: inputs.raw_state(config, wildcards.dataset),
        code=lambda wildcards: code("present_classes", inputs.adapter_module(config, wildcards.dataset)),
    script:
        "../workflow/scripts/present_classes.py"


rule index:
    input:
        raw=lambda wildcards: inputs.raw_manifest(config, wildcards.dataset),
        generated=lambda wildcards: ancient(inputs.generated_folder(config, wildcards.dataset)),
        fetched=lambda wildcards: awaited(inputs.awaited_data(config, wildcards.dataset)),
        present=lambda wildcards: inputs.present_classes(config, wildcards.dataset),
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
        mem_mb=more(2000),
        runtime=more(60),
    params:
        spec=lambda wildcards: spec(specs.index(config, wildcards.dataset)),
        raw=lambda wildcards: inputs.raw_state(config, wildcards.dataset),
        code=lambda wildcards: code("index", inputs.adapter_module(config, wildcards.dataset)),
    script:
        "../workflow/scripts/index.py"


rule tile:
    input:
        images="results/{dataset}/images.csv",
        generated=lambda wildcards: ancient(inputs.generated_folder(config, wildcards.dataset)),
        fetched=lambda wildcards: awaited(inputs.awaited_data(config, wildcards.dataset)),
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
        mem_mb=more(4000),
        runtime=more(120),
    params:
        spec=lambda wildcards: spec(specs.tiles(config, wildcards.dataset)),
        code=lambda wildcards: code("tile", inputs.adapter_module(config, wildcards.dataset)),
    script:
        "../workflow/scripts/tile.py"


rule label:
    input:
        images="results/{dataset}/images.csv",
        generated=lambda wildcards: ancient(inputs.generated_folder(config, wildcards.dataset)),
        fetched=lambda wildcards: awaited(inputs.awaited_data(config, wildcards.dataset)),
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
        mem_mb=more(4000),
        runtime=more(120),
    params:
        spec=lambda wildcards: spec(specs.tiles(config, wildcards.dataset)),
        code=lambda wildcards: code("label", inputs.adapter_module(config, wildcards.dataset)),
    script:
        "../workflow/scripts/label.py"


rule objects:
    input:
        images="results/{dataset}/images.csv",
        generated=lambda wildcards: ancient(inputs.generated_folder(config, wildcards.dataset)),
        fetched=lambda wildcards: awaited(inputs.awaited_data(config, wildcards.dataset)),
    output:
        objects="results/{dataset}/objects.csv",
    log:
        "logs/objects/{dataset}.log",
    benchmark:
        "logs/objects/{dataset}.benchmark.tsv"
    wildcard_constraints:
        dataset="|".join(inputs.with_identities(config)) or "(?!)",
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=more(4000),
        runtime=more(30),
    params:
        spec=lambda wildcards: spec(specs.objects(config, wildcards.dataset)),
        raw=lambda wildcards: inputs.raw_state(config, wildcards.dataset),
        code=lambda wildcards: code("objects", inputs.adapter_module(config, wildcards.dataset)),
    script:
        "../workflow/scripts/objects.py"

rule patch_classification_table:
    input:
        rows=measurement_files(),
        classes=expand("results/{dataset}/classes.csv", dataset=DATASETS),
    output:
        csv=report(
            "results/tables/patch_classification.csv",
            caption="../workflow/report/table.rst",
            category="Tables",
            labels={"table": "patch classification", "format": "CSV"},
        ),
        md="results/tables/patch_classification.md",
        tex="results/tables/patch_classification.tex",
        html=report(
            "results/tables/patch_classification.html",
            caption="../workflow/report/table.rst",
            category="Tables",
            labels={"table": "patch classification", "format": "page"},
        ),
    log:
        "logs/patch_classification_table.log",
    benchmark:
        "logs/patch_classification_table.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=interval_spec,
        code=code("patch_classification_table"),
    script:
        "../workflow/scripts/patch_classification_table.py"


rule model_table:
    input:
        rows=model_measurements,
    output:
        csv="results/models/{model}.csv",
    log:
        "logs/model_table/{model}.log",
    benchmark:
        "logs/model_table/{model}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=spec(),
        code=code("model_table"),
    script:
        "../workflow/scripts/model_table.py"


rule datasets_table:
    input:
        images=expand("results/{dataset}/images.csv", dataset=DATASETS),
        classes=expand("results/{dataset}/classes.csv", dataset=DATASETS),
        labels=ancient(expand("results/{dataset}/labels.zarr", dataset=DATASETS)),
        labels_manifests=expand("results/{dataset}/labels.manifest.json", dataset=DATASETS),
        predictions=ancient(
            expand("results/{dataset}/predictions/{model}/clean.zarr", dataset=DATASETS, model=MODELS)
        ),
        predictions_manifests=expand(
            "results/{dataset}/predictions/{model}/clean.manifest.json", dataset=DATASETS, model=MODELS
        ),
    output:
        csv=report(
            "results/tables/datasets.csv",
            caption="../workflow/report/datasets.rst",
            category="Tables",
            labels={"table": "data sets", "format": "CSV"},
        ),
        md="results/tables/datasets.md",
        tex="results/tables/datasets.tex",
        html=report(
            "results/tables/datasets.html",
            caption="../workflow/report/datasets.rst",
            category="Tables",
            labels={"table": "data sets", "format": "page"},
        ),
    log:
        "logs/datasets_table.log",
    benchmark:
        "logs/datasets_table.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=spec(datasets=DATASETS, models=MODELS),
        code=code("datasets_table"),
    script:
        "../workflow/scripts/datasets_table.py"

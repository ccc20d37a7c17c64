rule capi:
    input:
        tokens=ancient("results/{dataset}/features/{model}/clean.zarr"),
        tokens_manifest="results/{dataset}/features/{model}/clean.manifest.json",
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
    output:
        rows="results/{dataset}/capi/{model}.parquet",
        setting="results/{dataset}/capi/{model}.json",
    log:
        "logs/capi/{dataset}.{model}.log",
    benchmark:
        "logs/capi/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=search_gpus,
        mem_mb=8000,
        runtime=240,
    params:
        spec=protocol_spec("capi"),
        code=code("capi"),
    script:
        "../workflow/scripts/capi.py"


rule hummingbird:
    input:
        tokens=ancient("results/{dataset}/features/{model}/clean.zarr"),
        tokens_manifest="results/{dataset}/features/{model}/clean.manifest.json",
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
    output:
        rows="results/{dataset}/hummingbird/{model}.parquet",
    log:
        "logs/hummingbird/{dataset}.{model}.log",
    benchmark:
        "logs/hummingbird/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=search_gpus,
        mem_mb=8000,
        runtime=240,
    params:
        spec=protocol_spec("hummingbird"),
        code=code("hummingbird"),
    script:
        "../workflow/scripts/hummingbird.py"


rule protocols_table:
    input:
        rows=protocols_rows(),
        settings=capi_settings(),
    output:
        csv=report(
            "results/tables/protocols.csv",
            caption="../workflow/report/protocols_table.rst",
            category="Tables",
            subcategory="patch classification",
            labels={"table": "protocols", "format": "CSV"},
        ),
        md="results/tables/protocols.md",
        tex="results/tables/protocols.tex",
        html=report(
            "results/tables/protocols.html",
            caption="../workflow/report/protocols_table.rst",
            category="Tables",
            subcategory="patch classification",
            labels={"table": "protocols", "format": "page"},
        ),
    log:
        "logs/protocols_table.log",
    benchmark:
        "logs/protocols_table.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=protocols_table_spec,
        code=code("protocols_table"),
    script:
        "../workflow/scripts/protocols_table.py"


rule protocols_figure:
    input:
        rows=dataset_protocols_rows,
    output:
        svg=report(
            "results/figures/protocols.{dataset}.svg",
            caption="../workflow/report/protocols.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "protocols side by side", "format": "SVG"},
        ),
        png=report(
            "results/figures/protocols.{dataset}.png",
            caption="../workflow/report/protocols.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "protocols side by side", "format": "PNG"},
        ),
    log:
        "logs/protocols_figure/{dataset}.log",
    benchmark:
        "logs/protocols_figure/{dataset}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("protocols_figure"),
    script:
        "../workflow/scripts/protocols_figure.py"


rule paired_differences:
    input:
        predictions=ancient(expand("results/{{dataset}}/predictions/{view}/clean.zarr", view=VIEWS)),
        predictions_manifests=expand("results/{{dataset}}/predictions/{view}/clean.manifest.json", view=VIEWS),
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
    output:
        rows="results/{dataset}/paired_differences.csv",
    log:
        "logs/paired_differences/{dataset}.log",
    benchmark:
        "logs/paired_differences/{dataset}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        spec=paired_differences_spec,
        code=code("paired_differences"),
    script:
        "../workflow/scripts/paired_differences.py"


rule paired_differences_table:
    input:
        rows=expand("results/{dataset}/paired_differences.csv", dataset=DATASETS),
    output:
        csv=report(
            "results/tables/paired_differences.csv",
            caption="../workflow/report/paired_differences_table.rst",
            category="Tables",
            subcategory="patch classification",
            labels={"table": "paired differences", "format": "CSV"},
        ),
        md="results/tables/paired_differences.md",
        tex="results/tables/paired_differences.tex",
        html=report(
            "results/tables/paired_differences.html",
            caption="../workflow/report/paired_differences_table.rst",
            category="Tables",
            subcategory="patch classification",
            labels={"table": "paired differences", "format": "page"},
        ),
    log:
        "logs/paired_differences_table.log",
    benchmark:
        "logs/paired_differences_table.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=paired_differences_table_spec,
        code=code("paired_differences_table"),
    script:
        "../workflow/scripts/paired_differences_table.py"


rule paper_comparison:
    input:
        rows=paper_rows(),
        images=expand("results/{dataset}/images.csv", dataset=paper_datasets()),
    output:
        csv=report(
            "results/tables/paper_comparison.csv",
            caption="../workflow/report/paper_comparison.rst",
            category="Tables",
            subcategory="beside the paper",
            labels={"table": "beside the paper", "format": "CSV"},
        ),
        md="results/tables/paper_comparison.md",
        tex="results/tables/paper_comparison.tex",
        html=report(
            "results/tables/paper_comparison.html",
            caption="../workflow/report/paper_comparison.rst",
            category="Tables",
            subcategory="beside the paper",
            labels={"table": "beside the paper", "format": "page"},
        ),
    log:
        "logs/paper_comparison.log",
    benchmark:
        "logs/paper_comparison.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=paper_spec,
        code=code("paper_comparison"),
    script:
        "../workflow/scripts/paper_comparison.py"

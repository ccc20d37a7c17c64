rule training_size:
    input:
        tokens=ancient("results/{dataset}/features/{model}/clean.zarr"),
        tokens_manifest="results/{dataset}/features/{model}/clean.manifest.json",
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
        images="results/{dataset}/images.csv",
    output:
        rows="results/{dataset}/training_size/{model}.parquet",
    log:
        "logs/training_size/{dataset}.{model}.log",
    benchmark:
        "logs/training_size/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=600,
    params:
        spec=training_size_spec,
        code=code("training_size"),
    script:
        "../workflow/scripts/training_size.py"


rule training_size_table:
    input:
        rows=analysis_files("training_size"),
    output:
        csv=report(
            "results/tables/training_size.csv",
            caption="../workflow/report/training_size_table.rst",
            category="Tables",
            subcategory="patch classification",
            labels={"table": "training-set size", "format": "CSV"},
        ),
        md="results/tables/training_size.md",
        tex="results/tables/training_size.tex",
        html=report(
            "results/tables/training_size.html",
            caption="../workflow/report/training_size_table.rst",
            category="Tables",
            subcategory="patch classification",
            labels={"table": "training-set size", "format": "page"},
        ),
    log:
        "logs/training_size_table.log",
    benchmark:
        "logs/training_size_table.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=interval_spec,
        code=code("training_size_table"),
    script:
        "../workflow/scripts/training_size_table.py"


rule training_size_figure:
    input:
        rows=dataset_analysis_files("training_size"),
    output:
        svg=report(
            "results/figures/training_size.{dataset}.svg",
            caption="../workflow/report/training_size.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "training-set size", "format": "SVG"},
        ),
        png=report(
            "results/figures/training_size.{dataset}.png",
            caption="../workflow/report/training_size.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "training-set size", "format": "PNG"},
        ),
    log:
        "logs/training_size_figure/{dataset}.log",
    benchmark:
        "logs/training_size_figure/{dataset}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("training_size_figure"),
    script:
        "../workflow/scripts/training_size_figure.py"


rule layers:
    input:
        tokens=ancient("results/{dataset}/features/{model}/clean.zarr"),
        tokens_manifest="results/{dataset}/features/{model}/clean.manifest.json",
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
    output:
        rows="results/{dataset}/layers/{model}.parquet",
    log:
        "logs/layers/{dataset}.{model}.log",
    benchmark:
        "logs/layers/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=600,
    params:
        spec=layers_spec,
        code=code("layers"),
    script:
        "../workflow/scripts/layers.py"


rule layers_table:
    input:
        rows=analysis_files("layers"),
    output:
        csv=report(
            "results/tables/layers.csv",
            caption="../workflow/report/layers_table.rst",
            category="Tables",
            subcategory="patch classification",
            labels={"table": "layer by layer", "format": "CSV"},
        ),
        md="results/tables/layers.md",
        tex="results/tables/layers.tex",
        html=report(
            "results/tables/layers.html",
            caption="../workflow/report/layers_table.rst",
            category="Tables",
            subcategory="patch classification",
            labels={"table": "layer by layer", "format": "page"},
        ),
    log:
        "logs/layers_table.log",
    benchmark:
        "logs/layers_table.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=layers_table_spec,
        code=code("layers_table"),
    script:
        "../workflow/scripts/layers_table.py"


rule layers_figure:
    input:
        rows=dataset_analysis_files("layers"),
    output:
        svg=report(
            "results/figures/layers.{dataset}.svg",
            caption="../workflow/report/layers.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "layer by layer", "format": "SVG"},
        ),
        png=report(
            "results/figures/layers.{dataset}.png",
            caption="../workflow/report/layers.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "layer by layer", "format": "PNG"},
        ),
    log:
        "logs/layers_figure/{dataset}.log",
    benchmark:
        "logs/layers_figure/{dataset}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("layers_figure"),
    script:
        "../workflow/scripts/layers_figure.py"

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
    threads: min(8, config["threads"])
    resources:
        gpu=search_gpus,
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
    threads: min(8, config["threads"])
    resources:
        gpu=search_gpus,
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


rule global_context:
    input:
        tokens=ancient("results/{dataset}/features/{model}/clean.zarr"),
        tokens_manifest="results/{dataset}/features/{model}/clean.manifest.json",
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
        variances="results/{dataset}/variance_spectrum/{model}.parquet",
    output:
        rows="results/{dataset}/global_context/{model}.parquet",
    log:
        "logs/global_context/{dataset}.{model}.log",
    benchmark:
        "logs/global_context/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        spec=global_context_spec,
        code=code("global_context"),
    script:
        "../workflow/scripts/global_context.py"


rule global_context_table:
    input:
        rows=analysis_files("global_context"),
    output:
        csv=report(
            "results/tables/global_context.csv",
            caption="../workflow/report/global_context_table.rst",
            category="Tables",
            subcategory="global context",
            labels={"table": "global context", "format": "CSV"},
        ),
        md="results/tables/global_context.md",
        tex="results/tables/global_context.tex",
        html=report(
            "results/tables/global_context.html",
            caption="../workflow/report/global_context_table.rst",
            category="Tables",
            subcategory="global context",
            labels={"table": "global context", "format": "page"},
        ),
    log:
        "logs/global_context_table.log",
    benchmark:
        "logs/global_context_table.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=global_context_table_spec,
        code=code("global_context_table"),
    script:
        "../workflow/scripts/global_context_table.py"


rule global_context_figure:
    input:
        rows=dataset_analysis_files("global_context"),
    output:
        svg=report(
            "results/figures/global_context.{dataset}.svg",
            caption="../workflow/report/global_context.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "global context", "format": "SVG"},
        ),
        png=report(
            "results/figures/global_context.{dataset}.png",
            caption="../workflow/report/global_context.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "global context", "format": "PNG"},
        ),
    log:
        "logs/global_context_figure/{dataset}.log",
    benchmark:
        "logs/global_context_figure/{dataset}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("global_context_figure"),
    script:
        "../workflow/scripts/global_context_figure.py"


rule variance_overlap:
    input:
        rows=overlap_spectra,
    output:
        rows="results/models/{model}.variance_overlap.parquet",
    log:
        "logs/variance_overlap/{model}.log",
    benchmark:
        "logs/variance_overlap/{model}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=variance_overlap_spec,
        code=code("variance_overlap"),
    script:
        "../workflow/scripts/variance_overlap.py"


rule variance_overlap_table:
    input:
        rows=overlap_files(),
    output:
        csv=report(
            "results/tables/variance_overlap.csv",
            caption="../workflow/report/variance_overlap_table.rst",
            category="Tables",
            subcategory="variance of features",
            labels={"table": "overlap of features of highest variance", "format": "CSV"},
        ),
        md="results/tables/variance_overlap.md",
        tex="results/tables/variance_overlap.tex",
        html=report(
            "results/tables/variance_overlap.html",
            caption="../workflow/report/variance_overlap_table.rst",
            category="Tables",
            subcategory="variance of features",
            labels={"table": "overlap of features of highest variance", "format": "page"},
        ),
    log:
        "logs/variance_overlap_table.log",
    benchmark:
        "logs/variance_overlap_table.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("variance_overlap_table"),
    script:
        "../workflow/scripts/variance_overlap_table.py"


rule variance_overlap_figure:
    input:
        rows=overlap_files(),
    output:
        svg=report(
            "results/figures/variance_overlap.svg",
            caption="../workflow/report/variance_overlap.rst",
            category="Figures",
            subcategory="all data sets",
            labels={"dataset": "all", "figure": "overlap of features of highest variance", "format": "SVG"},
        ),
        png=report(
            "results/figures/variance_overlap.png",
            caption="../workflow/report/variance_overlap.rst",
            category="Figures",
            subcategory="all data sets",
            labels={"dataset": "all", "figure": "overlap of features of highest variance", "format": "PNG"},
        ),
    log:
        "logs/variance_overlap_figure.log",
    benchmark:
        "logs/variance_overlap_figure.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("variance_overlap_figure"),
    script:
        "../workflow/scripts/variance_overlap_figure.py"

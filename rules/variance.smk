rule variance_spectrum:
    input:
        tokens=ancient("results/{dataset}/features/{model}/clean.zarr"),
        tokens_manifest="results/{dataset}/features/{model}/clean.manifest.json",
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
    output:
        rows="results/{dataset}/variance_spectrum/{model}.parquet",
    log:
        "logs/variance_spectrum/{dataset}.{model}.log",
    benchmark:
        "logs/variance_spectrum/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        spec=variance_spectrum_spec,
        code=code("variance_spectrum"),
    script:
        "../workflow/scripts/variance_spectrum.py"


rule removal_sweep:
    input:
        tokens=ancient("results/{dataset}/features/{model}/clean.zarr"),
        tokens_manifest="results/{dataset}/features/{model}/clean.manifest.json",
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
    output:
        rows="results/{dataset}/removal_sweep/{model}.parquet",
    log:
        "logs/removal_sweep/{dataset}.{model}.log",
    benchmark:
        "logs/removal_sweep/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=search_gpus,
        mem_mb=8000,
        runtime=600,
    params:
        spec=removal_sweep_spec,
        code=code("removal_sweep"),
    script:
        "../workflow/scripts/removal_sweep.py"


rule variance_spectrum_table:
    input:
        rows=variance_files("variance_spectrum"),
    output:
        csv=report(
            "results/tables/variance_spectrum.csv",
            caption="../workflow/report/variance_spectrum_table.rst",
            category="Tables",
            subcategory="variance of features",
            labels={"table": "variance spectrum", "format": "CSV"},
        ),
        md="results/tables/variance_spectrum.md",
        tex="results/tables/variance_spectrum.tex",
        html=report(
            "results/tables/variance_spectrum.html",
            caption="../workflow/report/variance_spectrum_table.rst",
            category="Tables",
            subcategory="variance of features",
            labels={"table": "variance spectrum", "format": "page"},
        ),
    log:
        "logs/variance_spectrum_table.log",
    benchmark:
        "logs/variance_spectrum_table.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("variance_spectrum_table"),
    script:
        "../workflow/scripts/variance_spectrum_table.py"


rule removal_sweep_table:
    input:
        rows=variance_files("removal_sweep"),
    output:
        csv=report(
            "results/tables/removal_sweep.csv",
            caption="../workflow/report/removal_sweep_table.rst",
            category="Tables",
            subcategory="variance of features",
            labels={"table": "removal sweep", "format": "CSV"},
        ),
        md="results/tables/removal_sweep.md",
        tex="results/tables/removal_sweep.tex",
        html=report(
            "results/tables/removal_sweep.html",
            caption="../workflow/report/removal_sweep_table.rst",
            category="Tables",
            subcategory="variance of features",
            labels={"table": "removal sweep", "format": "page"},
        ),
    log:
        "logs/removal_sweep_table.log",
    benchmark:
        "logs/removal_sweep_table.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=interval_spec,
        code=code("removal_sweep_table"),
    script:
        "../workflow/scripts/removal_sweep_table.py"


rule variance_spectrum_figure:
    input:
        rows=dataset_variance_files("variance_spectrum"),
    output:
        svg=report(
            "results/figures/variance_spectrum.{dataset}.svg",
            caption="../workflow/report/variance_spectrum.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "variance spectrum", "format": "SVG"},
        ),
        png=report(
            "results/figures/variance_spectrum.{dataset}.png",
            caption="../workflow/report/variance_spectrum.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "variance spectrum", "format": "PNG"},
        ),
    log:
        "logs/variance_spectrum_figure/{dataset}.log",
    benchmark:
        "logs/variance_spectrum_figure/{dataset}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("variance_spectrum_figure"),
    script:
        "../workflow/scripts/variance_spectrum_figure.py"


rule removal_sweep_figure:
    input:
        rows=dataset_variance_files("removal_sweep"),
    output:
        svg=report(
            "results/figures/removal_sweep.{dataset}.svg",
            caption="../workflow/report/removal_sweep.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "removal sweep", "format": "SVG"},
        ),
        png=report(
            "results/figures/removal_sweep.{dataset}.png",
            caption="../workflow/report/removal_sweep.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "removal sweep", "format": "PNG"},
        ),
    log:
        "logs/removal_sweep_figure/{dataset}.log",
    benchmark:
        "logs/removal_sweep_figure/{dataset}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("removal_sweep_figure"),
    script:
        "../workflow/scripts/removal_sweep_figure.py"

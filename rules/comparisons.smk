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

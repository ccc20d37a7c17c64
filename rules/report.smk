rule patch_classification_table:
    input:
        rows=measurement_files(),
        classes=expand("results/{dataset}/classes.csv", dataset=DATASETS),
    output:
        csv=report(
            "results/tables/patch_classification.csv",
            caption="../workflow/report/table.rst",
            category="Tables",
            subcategory="patch classification",
            labels={"table": "patch classification", "format": "CSV"},
        ),
        md="results/tables/patch_classification.md",
        tex="results/tables/patch_classification.tex",
        html=report(
            "results/tables/patch_classification.html",
            caption="../workflow/report/table.rst",
            category="Tables",
            subcategory="patch classification",
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
            subcategory="data sets",
            labels={"table": "data sets", "format": "CSV"},
        ),
        md="results/tables/datasets.md",
        tex="results/tables/datasets.tex",
        html=report(
            "results/tables/datasets.html",
            caption="../workflow/report/datasets.rst",
            category="Tables",
            subcategory="data sets",
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


rule clean_scores_figure:
    input:
        rows=clean_measurement_files(),
    output:
        svg=report(
            "results/figures/clean_scores.svg",
            caption="../workflow/report/clean_scores.rst",
            category="Figures",
            subcategory="all data sets",
            labels={"dataset": "all", "figure": "clean scores", "format": "SVG"},
        ),
        png=report(
            "results/figures/clean_scores.png",
            caption="../workflow/report/clean_scores.rst",
            category="Figures",
            subcategory="all data sets",
            labels={"dataset": "all", "figure": "clean scores", "format": "PNG"},
        ),
    log:
        "logs/clean_scores_figure.log",
    benchmark:
        "logs/clean_scores_figure.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("clean_scores_figure"),
    script:
        "../workflow/scripts/clean_scores_figure.py"


rule robustness_figure:
    input:
        rows=dataset_measurements,
    output:
        svg=report(
            "results/figures/robustness.{dataset}.svg",
            caption="../workflow/report/robustness.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "robustness", "format": "SVG"},
        ),
        png=report(
            "results/figures/robustness.{dataset}.png",
            caption="../workflow/report/robustness.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "robustness", "format": "PNG"},
        ),
    log:
        "logs/robustness_figure/{dataset}.log",
    benchmark:
        "logs/robustness_figure/{dataset}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("robustness_figure"),
    script:
        "../workflow/scripts/robustness_figure.py"


rule class_iou_figure:
    input:
        rows=clean_dataset_measurements,
        classes="results/{dataset}/classes.csv",
    output:
        svg=report(
            "results/figures/class_iou.{dataset}.svg",
            caption="../workflow/report/class_iou.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "IoU per class", "format": "SVG"},
        ),
        png=report(
            "results/figures/class_iou.{dataset}.png",
            caption="../workflow/report/class_iou.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "IoU per class", "format": "PNG"},
        ),
    log:
        "logs/class_iou_figure/{dataset}.log",
    benchmark:
        "logs/class_iou_figure/{dataset}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("class_iou_figure"),
    script:
        "../workflow/scripts/class_iou_figure.py"


rule corruption_sheet:
    input:
        tiles=ancient(expand("results/{{dataset}}/tiles/{corruption}.zarr", corruption=VERSIONS)),
        tiles_manifests=expand("results/{{dataset}}/tiles/{corruption}.manifest.json", corruption=VERSIONS),
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
    output:
        svg=report(
            "results/figures/corruptions.{dataset}.svg",
            caption="../workflow/report/corruption_sheet.rst",
            category="Sheets",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "corruptions", "format": "SVG"},
        ),
        png=report(
            "results/figures/corruptions.{dataset}.png",
            caption="../workflow/report/corruption_sheet.rst",
            category="Sheets",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "corruptions", "format": "PNG"},
        ),
    log:
        "logs/corruption_sheet/{dataset}.log",
    benchmark:
        "logs/corruption_sheet/{dataset}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=corruption_sheet_spec,
        code=code("corruption_sheet"),
    script:
        "../workflow/scripts/corruption_sheet.py"


rule segmentation_sheet:
    input:
        tiles=ancient("results/{dataset}/tiles/clean.zarr"),
        tiles_manifest="results/{dataset}/tiles/clean.manifest.json",
        labels=ancient("results/{dataset}/labels.zarr"),
        labels_manifest="results/{dataset}/labels.manifest.json",
        predictions=ancient(expand("results/{{dataset}}/predictions/{view}/clean.zarr", view=VIEWS)),
        predictions_manifests=expand("results/{{dataset}}/predictions/{view}/clean.manifest.json", view=VIEWS),
    output:
        svg=report(
            "results/figures/segmentations.{dataset}.svg",
            caption="../workflow/report/segmentation_sheet.rst",
            category="Sheets",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "segmentations", "format": "SVG"},
        ),
        png=report(
            "results/figures/segmentations.{dataset}.png",
            caption="../workflow/report/segmentation_sheet.rst",
            category="Sheets",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "segmentations", "format": "PNG"},
        ),
    log:
        "logs/segmentation_sheet/{dataset}.log",
    benchmark:
        "logs/segmentation_sheet/{dataset}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=segmentation_sheet_spec,
        code=code("segmentation_sheet"),
    script:
        "../workflow/scripts/segmentation_sheet.py"

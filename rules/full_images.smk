rule prepare_full_images:
    input:
        images="results/{dataset}/images.csv",
        generated=generated_folder,
    output:
        store=directory("results/{dataset}/full_images/images.zarr"),
        manifest="results/{dataset}/full_images/images.manifest.json",
        labels=directory("results/{dataset}/full_images/labels.zarr"),
        labels_manifest="results/{dataset}/full_images/labels.manifest.json",
    log:
        "logs/prepare_full_images/{dataset}.log",
    benchmark:
        "logs/prepare_full_images/{dataset}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(4, config["threads"])
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        spec=tiling_spec,
        code=reader_code("prepare_full_images"),
    script:
        "../workflow/scripts/prepare_full_images.py"


rule inspect_full_images:
    input:
        images="results/{dataset}/images.csv",
        card="results/{dataset}/features/{model}/card.json",
        checkpoint=checkpoint_file,
    output:
        card="results/{dataset}/full_images/features/{model}/card.json",
    log:
        "logs/inspect_full_images/{dataset}.{model}.log",
    benchmark:
        "logs/inspect_full_images/{dataset}.{model}.benchmark.tsv"
    priority: 100
    conda:
        "../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        spec=full_images_model_spec,
        weights=packaged_weights,
        code=source_code("inspect_full_images"),
    script:
        "../workflow/scripts/inspect_full_images.py"


rule extract_full_images:
    input:
        store=ancient("results/{dataset}/full_images/images.zarr"),
        manifest="results/{dataset}/full_images/images.manifest.json",
        tile_card="results/{dataset}/features/{model}/card.json",
        card="results/{dataset}/full_images/features/{model}/card.json",
        checkpoint=checkpoint_file,
    output:
        store=directory("results/{dataset}/full_images/features/{model}/clean.zarr"),
        manifest="results/{dataset}/full_images/features/{model}/clean.manifest.json",
    log:
        "logs/extract_full_images/{dataset}.{model}.log",
    benchmark:
        "logs/extract_full_images/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=0 if config["device"] == "cpu" else 1,
        mem_mb=16000,
        runtime=480,
    params:
        spec=full_images_extraction_spec,
        code=source_code("extract_full_images"),
    script:
        "../workflow/scripts/extract_full_images.py"


rule full_images:
    input:
        tokens=ancient("results/{dataset}/full_images/features/{model}/clean.zarr"),
        tokens_manifest="results/{dataset}/full_images/features/{model}/clean.manifest.json",
        labels=ancient("results/{dataset}/full_images/labels.zarr"),
        labels_manifest="results/{dataset}/full_images/labels.manifest.json",
    output:
        rows="results/{dataset}/full_images/{model}.parquet",
    log:
        "logs/full_images/{dataset}.{model}.log",
    benchmark:
        "logs/full_images/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=search_gpus,
        mem_mb=8000,
        runtime=240,
    params:
        spec=full_images_spec,
        code=code("full_images"),
    script:
        "../workflow/scripts/full_images.py"


rule full_images_table:
    input:
        rows=full_images_beside_tiles(),
    output:
        csv=report(
            "results/tables/full_images.csv",
            caption="../workflow/report/full_images_table.rst",
            category="Tables",
            subcategory="patch classification",
            labels={"table": "full images beside tiles", "format": "CSV"},
        ),
        md="results/tables/full_images.md",
        tex="results/tables/full_images.tex",
        html=report(
            "results/tables/full_images.html",
            caption="../workflow/report/full_images_table.rst",
            category="Tables",
            subcategory="patch classification",
            labels={"table": "full images beside tiles", "format": "page"},
        ),
    log:
        "logs/full_images_table.log",
    benchmark:
        "logs/full_images_table.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        spec=interval_spec,
        code=code("full_images_table"),
    script:
        "../workflow/scripts/full_images_table.py"


rule full_images_figure:
    input:
        rows=dataset_full_images_beside_tiles,
    output:
        svg=report(
            "results/figures/full_images.{dataset}.svg",
            caption="../workflow/report/full_images.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "full images beside tiles", "format": "SVG"},
        ),
        png=report(
            "results/figures/full_images.{dataset}.png",
            caption="../workflow/report/full_images.rst",
            category="Figures",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "full images beside tiles", "format": "PNG"},
        ),
    log:
        "logs/full_images_figure/{dataset}.log",
    benchmark:
        "logs/full_images_figure/{dataset}.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        spec=models_spec,
        code=code("full_images_figure"),
    script:
        "../workflow/scripts/full_images_figure.py"

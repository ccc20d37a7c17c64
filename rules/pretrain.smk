# One rule with the objective as wildcard, not one rule each: a new objective is one new module and nothing here.
# Those that reconstruct pixels have one more output, and so a rule of their own made from the first.
OBJECTIVES = sorted(config["pretraining"]["objectives"])
RECONSTRUCTING = [name for name in OBJECTIVES if inputs.has_decoder(name)]


rule pretraining_images:
    output:
        store=directory("results/pretraining/images.zarr"),
        manifest="results/pretraining/images.manifest.json",
    log:
        "logs/pretraining_images.log",
    benchmark:
        "logs/pretraining_images.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(8, config["threads"])
    resources:
        mem_mb=more(4000),
        runtime=more(120),
    params:
        # Functions, since Snakemake takes braces in texts for wildcards.
        spec=lambda wildcards: spec(specs.pretraining_images(config)),
        raw=lambda wildcards: inputs.pretraining_state(config),
        code=code("pretraining_images", inputs.image_source_module(config)),
    script:
        "../workflow/scripts/pretraining_images.py"


rule pretrain:
    input:
        store=ancient("results/pretraining/images.zarr"),
        manifest="results/pretraining/images.manifest.json",
    output:
        encoder="results/pretraining/{objective}/encoder.safetensors",
        losses="results/pretraining/{objective}/loss.csv",
        card="results/pretraining/{objective}/card.json",
    log:
        "logs/pretrain/{objective}.log",
    benchmark:
        "logs/pretrain/{objective}.benchmark.tsv"
    wildcard_constraints:
        objective="|".join(sorted(set(OBJECTIVES).difference(RECONSTRUCTING))) or "none",
    conda:
        "../envs/pretrain.yaml"
    threads: config["pretraining"]["threads"]
    resources:
        gpu=network_gpus,
        mem_mb=more(16000),
        runtime=more(1440),
    params:
        spec=lambda wildcards: spec(specs.pretraining(config, wildcards.objective)),
        code=lambda wildcards: code("pretrain", inputs.objective_module(wildcards.objective)),
    script:
        "../workflow/scripts/pretrain.py"


use rule pretrain as pretrain_with_decoder with:
    output:
        encoder="results/pretraining/{objective}/encoder.safetensors",
        decoder="results/pretraining/{objective}/decoder.safetensors",
        losses="results/pretraining/{objective}/loss.csv",
        card="results/pretraining/{objective}/card.json",
    wildcard_constraints:
        objective="|".join(RECONSTRUCTING) or "none",


rule loss_curves_figure:
    input:
        losses=expand("results/pretraining/{objective}/loss.csv", objective=OBJECTIVES),
    output:
        svg=report(
            "results/figures/loss_curves.svg",
            caption="../workflow/report/loss_curves.rst",
            category="Pretraining",
            labels={"figure": "loss curves", "format": "SVG"},
        ),
        png=report(
            "results/figures/loss_curves.png",
            caption="../workflow/report/loss_curves.rst",
            category="Pretraining",
            labels={"figure": "loss curves", "format": "PNG"},
        ),
    log:
        "logs/loss_curves_figure.log",
    benchmark:
        "logs/loss_curves_figure.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        spec=spec({"objectives": OBJECTIVES}),
        code=code("loss_curves_figure"),
    script:
        "../workflow/scripts/loss_curves_figure.py"


localrules:
    pretraining,


rule pretraining:
    input:
        cards=expand("results/pretraining/{objective}/card.json", objective=OBJECTIVES),
        figures=expand("results/figures/loss_curves.{ext}", ext=["svg", "png"]),

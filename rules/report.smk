# Tables and figures, as the declarations of analyses name them; see rules/analyses.smk for why factories.
for analysis in ANALYSES:
    for what in analysis.shows:

        rule:
            name:
                analysis.rule(what)
            input:
                unpack(shown_inputs(analysis, what)),
            output:
                **shown_outputs(analysis, what),
            log:
                log_of(analysis.rule(what), shown_wildcards(what), "log"),
            benchmark:
                log_of(analysis.rule(what), shown_wildcards(what), "benchmark.tsv")
            conda:
                "../envs/report.yaml"
            threads: 1
            resources:
                mem_mb=more(4000),
                runtime=more(30),
            params:
                spec=shown_spec(analysis, what),
                code=code("show", module_of(analysis, "report")),
                module=module_of(analysis, "report"),
                function=what.function,
            script:
                "../workflow/scripts/show.py"


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
        mem_mb=more(2000),
        runtime=more(30),
    params:
        spec=spec({}),
        code=code("model_table"),
    script:
        "../workflow/scripts/model_table.py"


rule training_of_models_figure:
    output:
        svg=report(
            "results/figures/training_of_models.svg",
            caption="../workflow/report/loss_curves.rst",
            category="Pretraining",
            labels={"figure": "training of the models of this run", "format": "SVG"},
        ),
        png=report(
            "results/figures/training_of_models.png",
            caption="../workflow/report/loss_curves.rst",
            category="Pretraining",
            labels={"figure": "training of the models of this run", "format": "PNG"},
        ),
    log:
        "logs/training_of_models_figure.log",
    benchmark:
        "logs/training_of_models_figure.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=more(2000),
        runtime=more(30),
    params:
        spec=spec(specs.packaged_losses(config)),
        code=code("training_of_models_figure"),
    script:
        "../workflow/scripts/training_of_models_figure.py"

# Measurements, tables and figures of the analyses, each a folder of src/patchprobe/analyses. What is a function here is made
# by a factory: one that is written in a loop sees the last analysis alone.
for analysis in ANALYSES:
    if analysis.has("measure"):

        rule:
            name:
                analysis.name
            input:
                unpack(measured_inputs(analysis)),
            output:
                **measured_outputs(analysis),
            log:
                log_of(analysis, "log"),
            benchmark:
                log_of(analysis, "benchmark.tsv")
            conda:
                "../envs/core.yaml"
            threads: min(8, config["threads"]) if analysis.searches else 1
            resources:
                **({"gpu": search_gpus} if analysis.searches else {}),
                mem_mb=8000,
                runtime=analysis.minutes,
            params:
                spec=measurement_spec(analysis),
                code=code("measure", module_of(analysis, "measure")),
                module=module_of(analysis, "measure"),
                searches=analysis.searches,
            script:
                "../workflow/scripts/measure.py"

    if analysis.has("table"):

        rule:
            name:
                f"{analysis.name}_table"
            input:
                **analysis.shown_beside(config),
                rows=analysis.shown(config, DATASETS),
            output:
                **table_outputs(analysis),
            log:
                f"logs/{analysis.name}_table.log",
            benchmark:
                f"logs/{analysis.name}_table.benchmark.tsv"
            conda:
                "../envs/report.yaml"
            threads: 1
            resources:
                mem_mb=2000,
                runtime=30,
            params:
                spec=spec(models=MODELS, **analysis.notes(config)),
                code=code("table", module_of(analysis, "report")),
                module=module_of(analysis, "report"),
            script:
                "../workflow/scripts/table.py"

    if analysis.has("figure"):

        rule:
            name:
                f"{analysis.name}_figure"
            input:
                rows=shown_rows(analysis),
            output:
                **figure_outputs(analysis),
            log:
                figure_log(analysis, "log"),
            benchmark:
                figure_log(analysis, "benchmark.tsv")
            conda:
                "../envs/report.yaml"
            threads: 1
            resources:
                mem_mb=4000,
                runtime=30,
            params:
                spec=spec(models=MODELS),
                code=code("figure", module_of(analysis, "report")),
                module=module_of(analysis, "report"),
            script:
                "../workflow/scripts/figure.py"

# Measurements of the analyses, each a folder of src/patchprobe/analyses. What is a function here is made
# by a factory: one that is written in a loop sees the last analysis alone.
for analysis in ANALYSES:
    if analysis.measures:

        rule:
            name:
                analysis.name
            input:
                unpack(measured_inputs(analysis)),
            output:
                **measured_outputs(analysis),
            log:
                log_of(analysis.name, analysis.path(), "log"),
            benchmark:
                log_of(analysis.name, analysis.path(), "benchmark.tsv")
            conda:
                "../envs/core.yaml"
            threads: min(8, config["threads"]) if analysis.searches else 1
            resources:
                **({"gpu": search_gpus} if analysis.searches else {}),
                mem_mb=more(8000),
                runtime=more(analysis.minutes),
            params:
                spec=measurement_spec(analysis),
                code=code("measure", module_of(analysis, "measure")),
                module=module_of(analysis, "measure"),
                searches=analysis.searches,
            script:
                "../workflow/scripts/measure.py"

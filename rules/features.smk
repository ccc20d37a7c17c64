def extraction_spec(wildcards):
    model, extraction = config["models"][wildcards.model], config["extraction"]
    layers = extraction["layers"]["clean" if wildcards.corruption == "clean" else "corrupted"]
    return spec(
        name=wildcards.model,
        model={key: value for key, value in model.items() if key != "probe"},
        checkpoint_root=config["checkpoint_root"],
        device=config["device"],
        extraction={**extraction, "layers": layers},
    )


def extraction_code(wildcards):
    """The code of the extraction with the module of the model's source, found by name at run time."""
    return code("extract", f"patchprobe.models.{config['models'][wildcards.model]['source']}_source")


def checkpoint_file(wildcards):
    """The model's checkpoint if it is there, so that another file under its name makes the tokens stale."""
    name = config["models"][wildcards.model].get("checkpoint")
    path = Path(config["checkpoint_root"]) / (name or "")
    return [str(path)] if name and path.is_file() else []


rule extract:
    input:
        store=ancient("results/{dataset}/tiles/{corruption}.zarr"),
        manifest="results/{dataset}/tiles/{corruption}.manifest.json",
        checkpoint=checkpoint_file,
    output:
        store=directory("results/{dataset}/features/{model}/{corruption}.zarr"),
        manifest="results/{dataset}/features/{model}/{corruption}.manifest.json",
    log:
        "logs/extract/{dataset}.{model}.{corruption}.log",
    benchmark:
        "logs/extract/{dataset}.{model}.{corruption}.benchmark.tsv"
    params:
        spec=extraction_spec,
        code=extraction_code,
    threads: 8
    resources:
        gpu=0 if config["device"] == "cpu" else 1,
        mem_mb=16000,
        runtime=480,
    conda:
        "../envs/gpu.yaml"
    script:
        "../workflow/scripts/extract.py"

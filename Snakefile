from os.path import exists

from snakemake.utils import min_version

min_version("9.20")


# A configuration given on the command line stands for itself; Snakemake would merge it into the default one.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml" if exists("config/config.yaml") else f"{workflow.current_basedir}/config/config.yaml"


report: "workflow/report/workflow.rst"


resource_scopes:
    gpu="local",


include: "rules/common.smk"
include: "rules/loop.smk"
include: "rules/generate.smk"
include: "rules/downloads.smk"
include: "rules/tiles.smk"
include: "rules/corruptions.smk"
include: "rules/checkpoints.smk"
include: "rules/features.smk"
include: "rules/black.smk"
include: "rules/patch_classification.smk"
include: "rules/analyses.smk"
include: "rules/full_images.smk"
include: "rules/image_features.smk"
include: "rules/reconstruction.smk"
include: "rules/report.smk"
include: "rules/pretrain.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        report_files(),


onstart:
    CALL.start()


onsuccess:
    CALL.end()


onerror:
    CALL.fail()

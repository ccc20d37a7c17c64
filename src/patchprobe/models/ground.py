"""What a model is told of the ground where its position embedding depends on it; free of torch, for configurations."""

# What Scale-MAE's author tells it of images of any size, in metres per pixel of its input (docs/image-knn.md).
RECIPE_DISTANCE = 1.0
# The value of ``models.<name>.ground_sample_distance`` for the distance of the images themselves.
SENSOR = "sensor"

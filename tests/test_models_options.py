import pytest

from gp_elm.errors import OptionError
from gp_elm.models.options import TrainingOptions, choose_device
from gp_elm.models.recipe import choose_recipe


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "tanh"}, "network is 'tanh'; choose one of auto, quadratic"),
        ({"preset": "quick"}, "preset is 'quick'; choose one of default, pub, thorough"),
        ({"weighting": "lasso"}, "weighting is 'lasso'"),
        ({"loss": "huber"}, "loss is 'huber'; choose one of squared, absolute"),
        ({"hidden": ()}, "hidden is .*; give one or more widths"),
        ({"hidden": (8, 0)}, "hidden is .*; give one or more widths"),
        ({"epochs": 0}, "epochs is 0; give 1 or more"),
        ({"members": -1}, "members is -1; give 1 or more"),
        ({"l1": float("nan")}, "l1 is nan; give 0 or more"),
        ({"learning_rate": 0.0}, "learning_rate is 0; give a positive number"),
        ({"ema": 1.0}, "ema is 1.0; give a number from 0 to below 1"),
        ({"validation_fraction": 0.7}, "validation_fraction is 0.7"),
        ({"preset": "pub", "network": "gelu"}, "preset pub is a leaky ReLU network"),
    ],
)
def test_senseless_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        TrainingOptions(**options)


def test_quadratic_network_has_one_hidden_layer():
    with pytest.raises(OptionError, match="a quadratic network has one hidden layer"):
        choose_recipe(TrainingOptions(hidden=(8, 8)), n_samples=100, n_variants=10)


def test_recipe_follows_from_the_cohort():
    few = choose_recipe(TrainingOptions(), n_samples=8000, n_variants=400)
    wide = choose_recipe(TrainingOptions(), n_samples=8000, n_variants=401)
    assert (few.network, few.weighting, few.hidden, few.trait_hidden) == ("quadratic", "none", (512,), 0)
    assert (wide.network, wide.weighting, wide.hidden, wide.trait_hidden) == (
        "quadratic",
        "heredity",
        (128,),
        16,
    )
    assert few.schedule.patience == 0
    assert "hidden 512, on all variants" in few.describe()
    assert "mean of 4 members, on the heredity-weighted loci of the lasso" in wide.describe()


def test_small_cohorts_have_small_batches():
    batches = [
        choose_recipe(TrainingOptions(), n_samples=n, n_variants=1000).schedule.batch
        for n in (100, 1000, 3000)
    ]
    assert batches == [16, 100, 256]
    given = choose_recipe(TrainingOptions(batch=50), n_samples=100, n_variants=1000)
    assert given.schedule.batch == given.trait_schedule.batch == 50


def test_user_options_override_the_recipe():
    options = TrainingOptions(
        network="silu", hidden=(16, 8), epochs=3, learning_rate=0.1, weighting="heredity"
    )
    recipe = choose_recipe(options, n_samples=8000, n_variants=10)
    assert (recipe.network, recipe.hidden, recipe.weighting, recipe.skip) == (
        "silu",
        (16, 8),
        "heredity",
        False,
    )
    assert (recipe.schedule.epochs, recipe.schedule.learning_rate) == (3, 0.1)


def test_pub_is_the_network_of_the_pub():
    recipe = choose_recipe(TrainingOptions(preset="pub"), n_samples=5000, n_variants=10_000)
    assert (recipe.network, recipe.hidden, recipe.weighting) == ("leaky_relu", (1024, 1024), "none")
    assert not recipe.bias
    assert not recipe.skip
    schedule = recipe.schedule
    assert (schedule.optimiser, schedule.learning_rate, schedule.weight_decay) == ("adamw", 1e-3, 1.0)
    assert (schedule.loss, schedule.batch) == ("absolute", 128)


def test_thorough_has_more_members():
    for m in (10, 1000):
        default = choose_recipe(TrainingOptions(), n_samples=1000, n_variants=m)
        thorough = choose_recipe(TrainingOptions(preset="thorough"), n_samples=1000, n_variants=m)
        assert thorough.members > default.members


def test_device():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(OptionError, match="device 'abacus' cannot be used .*; give device='cpu'"):
        choose_device("abacus")

"""Mixes of networks, and the groups of jobs that are drawn from them."""

from collections import Counter
from dataclasses import replace

import pytest

from hwgym import Layer, Workload, models, workload
from hwgym.workloads import MIXES, Mix, draw_jobs, mix

TINY = Workload("tiny", (Layer.gemm("a", 2, 3, 4), Layer.gemm("b", 5, 6, 7, repeat=8)))


def names(mix):
    return [network.name for network in mix.instances()]


class TestMix:
    def test_instances_are_the_networks_as_often_as_they_run(self):
        made = Mix("m", (("NCF", 2), (TINY, 3)))
        assert names(made) == ["NCF", "NCF", "tiny", "tiny", "tiny"]
        assert made.instances()[0] is workload("NCF")
        assert made.instances()[2] is TINY
        assert str(made) == "2 x NCF, 3 x tiny"

    def test_networks_may_be_files(self, tmp_path):
        TINY.to_csv(tmp_path / "tiny.csv")
        (network,) = Mix("m", ((str(tmp_path / "tiny.csv"), 1),)).instances()
        assert network == TINY

    def test_is_told_by_name_and_networks(self):
        made = Mix("m", (("NCF", 2),), "about")
        assert made == Mix("m", [("NCF", 2)])
        assert hash(made) == hash(Mix("m", (("NCF", 2),), missing=("DLRM",)))
        assert made != Mix("m", (("NCF", 3),))

    @pytest.mark.parametrize(
        ("name", "networks", "message"),
        [
            ("", (("NCF", 1),), "mix name must be a non-empty string, got ''"),
            ("m", (), "mix 'm' has no networks; it needs at least one"),
            ("m", (("NCF", 0),), "the count of 'NCF' must be a positive integer, got 0"),
            ("m", (("NCF", True),), "the count of 'NCF' must be a positive integer, got True"),
            ("m", (("NCF", 1.0),), "the count of 'NCF' must be a positive integer, got 1.0"),
            ("m", (("NCF", 1), ("NCF", 2)), "'NCF' is there twice; give it a count"),
        ],
    )
    def test_rejects(self, name, networks, message):
        with pytest.raises(ValueError) as error:
            Mix(name, networks)
        assert message in str(error.value)

    def test_an_unknown_network_is_named_when_it_is_needed(self):
        with pytest.raises(ValueError, match="unknown model 'NFC'; did you mean 'NCF'"):
            Mix("m", (("NFC", 1),)).instances()


class TestMixes:
    # Herald, HPCA 2021, without the network for hand poses; NASAIC's first; MAGMA's groups.
    def test_networks(self):
        assert {name: len(each.instances()) for name, each in MIXES.items()} == {
            "ARVR-A": 2 + 4 + 4,
            "ARVR-B": 2 + 2 + 4 + 2 + 2,
            "NASAIC": 2,
            "Mobile": 6 + 6 + 1,
            "Vision": 3,
            "Language": 3,
            "Recommendation": 1,
            "All": 9,
        }
        for name, each in MIXES.items():
            assert each.name == name
            assert each.about
            assert set(names(each)) <= set(models())
            assert set(each.stand_ins) <= set(names(each))

    def test_all_has_a_third_of_each_group(self):
        drawn = Counter(names(mix("All")))
        for group in ("Vision", "Language", "Recommendation"):
            assert sum(drawn[name] for name in set(names(mix(group)))) == 3

    def test_layers_of_the_mix_of_small_networks(self):
        assert sum(len(network) for network in mix("Mobile").instances()) == 6 * 52 + 6 * 56 + 53

    def test_found_by_name(self):
        assert mix("Mobile") is MIXES["Mobile"]
        mine = Mix("mine", ((TINY, 1),))
        assert mix(mine) is mine

    @pytest.mark.parametrize("given", ["arvr-a", "ARVR", None, 3, ["Vision"]])
    def test_unknown(self, given):
        with pytest.raises(ValueError, match="unknown mix"):
            mix(given)

    def test_the_nearest_is_told(self):
        with pytest.raises(ValueError, match="unknown mix 'mobile'; did you mean 'Mobile'"):
            draw_jobs("mobile")


class TestDrawJobs:
    def test_the_same_seed_gives_the_same_group(self):
        assert draw_jobs("Vision", 50, seed=3) == draw_jobs(mix("Vision"), 50, seed=3)
        assert draw_jobs("Vision", 50, seed=3).layers != draw_jobs("Vision", 50, seed=4).layers

    # Written down, so that another order of drawing shows: published numbers rest on groups.
    def test_the_group_of_a_seed_stays(self):
        assert [layer.name for layer in draw_jobs("Vision", 4, seed=0)] == [
            "ShuffleNetV2.stage3.0.branch2.expand",
            "ResNet50.layer1.0.conv2",
            "ResNet50.layer1.0.conv3",
            "MobileNetV2.stem",
        ]

    def test_jobs_are_layers_of_the_networks(self):
        group = draw_jobs("All", 200, seed=1)
        assert len(group) == 200
        assert group.name == "All, 200 jobs, seed 1"
        known = {
            f"{network.name}.{layer.name}": layer
            for network in mix("All").instances()
            for layer in network
        }
        for job in group:
            assert job == replace(known[job.name], name=job.name)

    def test_instances_are_drawn_alike_whatever_their_depth(self):
        group = draw_jobs(Mix("m", (("DenseNet121", 1), (TINY, 3))), 4000, seed=2)
        share = Counter(layer.name.split(".")[0] for layer in group)
        assert share["tiny"] == pytest.approx(3000, rel=0.05)
        of_tiny = Counter(layer.name for layer in group if layer.name.startswith("tiny"))
        assert of_tiny["tiny.a"] == pytest.approx(1500, rel=0.1)
        assert len({layer.name for layer in group}) == 120 + 2

    def test_a_job_runs_all_repeats(self):
        group = draw_jobs(Mix("m", ((TINY, 1),)), 20)
        assert {layer.repeat for layer in group} == {1, 8}

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"jobs": 0}, "jobs must be an integer of at least 1, got 0"),
            ({"jobs": 2.0}, "jobs must be an integer of at least 1, got 2.0"),
            ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
            ({"seed": None}, "seed must be an integer of at least 0, got None"),
        ],
    )
    def test_rejects(self, kwargs, message):
        with pytest.raises(ValueError) as error:
            draw_jobs("Vision", **kwargs)
        assert str(error.value) == message

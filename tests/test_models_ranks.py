"""Two processes that train one network, as torchrun starts them."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from gp_elm.cli import main
from gp_elm.models.ranks import ALONE
from gp_elm.simulate import simulate


def started_by_torchrun(arguments, rank, port):
    """A process with the environment that torchrun gives it; starting torchrun itself takes as long again."""
    given = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": 2,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    given |= {"TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": 1}
    environment = os.environ | {name: str(value) for name, value in given.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "gp_elm", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_two_processes_train_what_one_does(tmp_path):
    simulate(tmp_path / "c", n_samples=150, n_variants=12, n_traits=1, n_additive=3, seed=2)
    given = ["train", "--bfile", f"{tmp_path}/c", "--pheno", f"{tmp_path}/c.pheno.tsv", "--epochs", "3"]
    given += ["--folds", "2", "--members", "2", "--batch", "31", "--weighting", "none", "--quiet", "--out"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [started_by_torchrun([*given, str(tmp_path / "two")], rank, port) for rank in (0, 1)]
    with pytest.raises(SystemExit) as end:
        main([*given, str(tmp_path / "one")])
    assert end.value.code == 0
    said = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert said == [f"networks: {tmp_path}/two/model\n", ""]
    assert files(tmp_path / "two") == files(tmp_path / "one")
    for fold in ("fold_0", "fold_1"):
        one, two = (
            load_file(tmp_path / out / "work/folds" / fold / "network.safetensors") for out in ("one", "two")
        )
        assert not np.array_equal(one["0.u"], two["0.u"])
        for name in one:
            np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_one_process_shares_with_nobody():
    assert ALONE.share("itself") == "itself"
    assert ALONE.totals(1.5, 2.0) == (1.5, 2.0)

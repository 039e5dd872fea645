"""``python -m gp_elm`` is the ``gp-elm`` command; under ``torchrun``, several processes train its networks."""

import os

from gp_elm.cli import main

if __name__ == "__main__":
    # torchrun's own variable besides: a cluster may set WORLD_SIZE for every job
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "TORCHELASTIC_RUN_ID" in os.environ:
        from gp_elm.models.workers import run_among_ranks

        run_among_ranks(main)
    else:
        main()

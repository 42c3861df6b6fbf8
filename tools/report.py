"""Prints one table of several runs, made from their records alone.

python tools/report.py --work_dirs=runs/a,runs/b --protocol=reference

Of a single run, all networks that it trained. --html=FILE writes a page of the
tables, curves, embeddings, neighbours and classes. With --seeds, methods over
their seeds, in Markdown, or the rungs of ladders that `compress` made:

python tools/report.py --seeds '--work_dirs=runs/sweep/*' --reference=pkt
"""

import glob
import pathlib

from absl import flags

from indistill_tf_tools import cli
from indistill_tf_tools import recipes

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "work_dirs", None, "of runs of `distill` or `train`; * stands for any name"
)
flags.DEFINE_enum("metric", "cosine", ["cosine", "euclidean"], "of retrieval")
flags.DEFINE_enum(
    "protocol", "standard", ["standard", "reference"], "of retrieval"
)
flags.DEFINE_integer(
    "rank", None, "the k of precision at k; the largest by default"
)
flags.DEFINE_bool("seeds", False, "one row for all of NAME_seed0, NAME_seed1")
flags.DEFINE_string(
    "papers", None, "CSV: a method a line, a score a column; with --seeds"
)
flags.DEFINE_string(
    "reference", None, "the method to compare with; with --seeds"
)
flags.DEFINE_list("columns", "", "scores to show: mAP,L_MI; with --seeds")
flags.DEFINE_string("output", None, "write the table there too")
flags.DEFINE_string("html", None, "write a page there, one file with all in it")
flags.DEFINE_string("curves", None, "write mAP over the epochs there, as SVG")
flags.DEFINE_float(
    "reach", None, "mAP in %: say after how many epochs it is had"
)
flags.mark_flag_as_required("work_dirs")

_OF_SEEDS = ("papers", "reference", "columns")
# The metric and the protocol by which ladders are measured.
_OF_LADDERS = ("cosine", "standard")


def main():
    from indistill_tf.training import promises

    folders = _folders()
    results = _ladders(folders) or {
        name: promises.read(pathlib.Path(folder) / promises.RECORD)
        for name, folder in folders.items()
    }
    text = _pairs_text(results) or _text(results)
    print(text)
    if FLAGS.output:
        _write(FLAGS.output, f"{text}\n")
    if FLAGS.reach is not None or FLAGS.curves:
        _over_epochs(folders)
    if FLAGS.html:
        _write(FLAGS.html, _page(results, folders))
        print(f"\nPage: {FLAGS.html}")


def _ladders(folders):
    """Returns the scores of ladders by rung and seed; none where none is.

    Args:
        folders: dict from name to folder.

    Raises:
        UserError: if runs are among them, or more is asked for than they hold.
    """
    from indistill_tf.errors import UserError
    from indistill_tf.training.ladder import reporting

    found = {name: reporting.read(folder) for name, folder in folders.items()}
    ladders = {name: record for name, record in found.items() if record}
    if not ladders:
        return {}
    asked = FLAGS.seeds and not FLAGS.html
    if len(ladders) < len(found) or not asked or _measured()[:2] != _OF_LADDERS:
        raise UserError(
            f"{next(iter(ladders))} holds a ladder of `compress`. Ladders are "
            "compared over their seeds: name ladders alone, with --seeds, "
            "without --html, --metric and --protocol. A run's own is on the "
            "run's page."
        )
    return reporting.results(ladders)


def _pairs_text(results):
    """Returns the table of pairs of towers, or None where none is among them.

    Args:
        results: dict from name to result dict.

    Raises:
        UserError: if others are, or what is asked for is not there of pairs.
    """
    from indistill_tf.errors import UserError
    from indistill_tf.training import report

    pairs = ["captions" in result for result in results.values()]
    if not any(pairs):
        return None
    if not all(pairs) or FLAGS.seeds or FLAGS.html:
        name = list(results)[pairs.index(True)]
        raise UserError(
            f"{name} holds a pair of towers. Pairs have a table of their own: "
            "name pairs alone, without --seeds and --html."
        )
    return report.pair_table(results)


def _text(results):
    from indistill_tf.errors import UserError
    from indistill_tf.training import comparison
    from indistill_tf.training import report

    if FLAGS.seeds:
        return comparison.comparison(results, *_measured(), **_compared())
    for name in _OF_SEEDS:
        if FLAGS[name].value:
            raise UserError(f"--{name} compares methods: give --seeds too.")
    return report.table(results, *_measured())


def _over_epochs(folders):
    from indistill_tf import tables
    from indistill_tf.training import page

    networks = _networks(folders)
    if FLAGS.reach is not None:
        print(f"\n{tables.markdown(page.reached(networks, FLAGS.reach))}")
    if FLAGS.curves:
        _write(FLAGS.curves, page.curves(networks))
        print(f"\nCurves: {FLAGS.curves}")


def _page(results, folders):
    from indistill_tf.training import comparison
    from indistill_tf.training import page
    from indistill_tf.training import report

    measured = _measured()
    if FLAGS.seeds:
        tables, caption = comparison.compared(results, *measured, **_compared())
    else:
        comparison.check_images(results)
        tables = [report.rows(results, *measured)]
        caption = report.caption(results, *measured[:2], tables[0][0])
    return page.document(
        _networks(folders), tables, caption, measured, FLAGS.reference
    )


def _networks(folders):
    """Returns the records of networks: of a folder each, or of its seeds."""
    from indistill_tf.training import page
    from indistill_tf.training import report
    from indistill_tf.training import seeds

    if FLAGS.seeds:
        groups = seeds.grouped(folders)
        return page.read(
            {name: [*group.values()] for name, group in groups.items()}
        )
    return page.read(
        {report.title(name): [folder] for name, folder in folders.items()}
    )


def _measured():
    return FLAGS.metric, FLAGS.protocol, FLAGS.rank


def _compared():
    from indistill_tf.training import comparison

    papers = FLAGS.papers and comparison.read_papers(recipes.find(FLAGS.papers))
    return dict(papers=papers, reference=FLAGS.reference, columns=FLAGS.columns)


def _folders():
    """Returns the folders by the names that tables give them."""
    from indistill_tf.training import report

    found = _work_dirs()
    if len(found) == 1 and not FLAGS.seeds:
        return report.networks(found[0])
    return {name: name for name in found}


def _work_dirs():
    """Returns the folders; a pattern stands for those that are finished."""
    from indistill_tf.errors import UserError

    found = []
    for name in FLAGS.work_dirs:
        if not glob.has_magic(name):
            found.append(name)
            continue
        records = sorted(
            path
            for record in ("result.json", "ladder.json")
            for path in glob.glob(f"{name}/{record}")
        )
        if not records:
            raise UserError(
                f"--work_dirs={name} names no folder with a result.json or a "
                "ladder.json."
            )
        found += [str(pathlib.Path(record).parent) for record in records]
    return found


def _write(path, text):
    from indistill_tf.files import replacing

    with replacing(path) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    cli.run(main, __doc__)

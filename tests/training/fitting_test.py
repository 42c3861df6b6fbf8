import logging

from indistill_tf.training import fitting


def test_forecast_after_the_first_epoch_alone(monkeypatch, caplog):
    clock = iter([100.0, 160.0])
    monkeypatch.setattr(fitting.time, "perf_counter", lambda: next(clock))
    forecast = fitting.Forecast("student", epochs=8)
    with caplog.at_level(logging.INFO, "indistill_tf"):
        forecast.on_train_begin()
        # Of a resumed training this is the first.
        forecast.on_epoch_end(3)
        forecast.on_epoch_end(4)
    (line,) = caplog.messages
    assert line == "student: 4 epochs left, about 4 min if all take as long"

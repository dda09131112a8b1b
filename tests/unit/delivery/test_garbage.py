import gc

from delivery.garbage import freeze_start


def test_what_was_there_at_the_start_is_looked_at_no_more() -> None:
    made_at_start = [object()]
    freeze_start()
    try:
        made_later = [object()]
        looked_at = {id(one) for one in gc.get_objects()}
        assert id(made_later) in looked_at
        assert id(made_at_start) not in looked_at
    finally:
        gc.unfreeze()

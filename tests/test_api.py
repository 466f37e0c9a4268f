"""The public names of the package are what they say, however often they are asked for."""

import groovae


def test_every_public_name_is_there_twice():
    for name in groovae.__all__:
        assert getattr(groovae, name) is getattr(groovae, name), name
        if name != "__version__":
            assert type(getattr(groovae, name)).__name__ != "module", name
    assert set(groovae.__all__) <= set(dir(groovae))

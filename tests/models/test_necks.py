"""Strip pooling averages bands of rows and columns of any length, also in exported graphs."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version
from torch.nn.functional import adaptive_avg_pool1d

from mmgcvit.models.necks import StripPooling, average_bands


@given(st.integers(1, 9), st.integers(1, 6))
@settings(deadline=None)
def test_bands_are_those_of_adaptive_pooling_where_it_divides_the_length(number, factor):
    x = torch.rand(2, 3, number * factor)
    torch.testing.assert_close(average_bands(x, number), adaptive_avg_pool1d(x, number))


@given(st.integers(1, 40), st.integers(1, 9))
@settings(deadline=None)
def test_bands_of_any_length_keep_the_mean(length, number):
    x = torch.rand(2, 3, length)
    torch.testing.assert_close(average_bands(x, number).mean(2), x.mean(2))


def test_strips_are_rows_then_columns_of_each_map():
    neck = StripPooling((2, 1))
    first = torch.arange(8.0).reshape(1, 1, 2, 4)  # rows 0 to 3 and 4 to 7
    second = torch.full((1, 2, 3, 3), 5.0)
    (pooled,) = neck((first, second))
    assert pooled.tolist() == [[1.5, 5.5, 2.5, 4.5, 5, 5, 5, 5]]


def test_another_number_of_maps_is_refused():
    with pytest.raises(ValueError, match=r'zip\(\) argument'):
        StripPooling((2, 1))((torch.rand(1, 1, 2, 2),))


@pytest.mark.parametrize('num_strips', [(), 8, (8, 0), (8, 1.5), 'ab', None])
def test_other_numbers_of_strips_are_refused(num_strips):
    with pytest.raises(ValueError, match='expected a list of ints of at least 1'):
        StripPooling(num_strips)


def test_the_exported_graph_pools_maps_of_other_sizes():
    onnxruntime = pytest.importorskip('onnxruntime')

    class Graph(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.neck = StripPooling((8, 3))

        def forward(self, first, second):
            return self.neck((first, second))[0]

    file = io.BytesIO()
    axes = {name: {2: f'{name} height', 3: f'{name} width'} for name in ('first', 'second')}
    maps = (torch.rand(1, 2, 16, 16), torch.rand(1, 3, 8, 8))
    options = {'input_names': [*axes], 'dynamic_axes': axes}
    if Version(torch.__version__) >= Version('2.5'):  # earlier ones have no other exporter
        options['dynamo'] = False
    torch.onnx.export(Graph(), maps, file, **options)
    session = onnxruntime.InferenceSession(file.getvalue())
    others = (torch.rand(1, 2, 9, 21), torch.rand(1, 3, 5, 11))
    inputs = {name: x.numpy() for name, x in zip(axes, others, strict=True)}
    expected = Graph()(*others).numpy()
    np.testing.assert_allclose(session.run(None, inputs)[0], expected, atol=1e-6)

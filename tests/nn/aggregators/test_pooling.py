from contracts.aggregator import AggregatorContract


class TestMeanPooling(AggregatorContract):
    config = {"type": "MeanPooling"}

    def naive(self, model, x):
        return x.mean(dim=0)


class TestMaxPooling(AggregatorContract):
    config = {"type": "MaxPooling"}
    has_attention = False

    def naive(self, model, x):
        return x.max(dim=0).values

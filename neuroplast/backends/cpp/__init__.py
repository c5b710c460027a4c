"""Native code for a step program: ``emit`` writes it, ``build`` compiles and caches it, ``library`` loads it.

One translation unit a program, its own loop over the synapses a rule (``plasticity`` chooses which). The compiled target runs
it whole; the Brian2 targets put it around Brian2's neurons.
"""

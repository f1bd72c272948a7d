"""kro offline: ResourceGraphDefinitions checked and expanded without a cluster, as kro v0.9.3 would.

kro itself looks at a graph only once it is applied (kubernetes-sigs/kro#993, #1283, #418). The rules here are those of
its graph builder, parser and SimpleSchema; each module names what it follows. CEL is Google's own runtime
(cel-expr-python), which is needed for expressions only.
"""

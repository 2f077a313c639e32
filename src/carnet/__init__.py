"""Carnet: who may use which AI model under export-control law, with the citation for each answer.

Not legal advice. The public names are those of `carnet.model`, `carnet.rules` and `carnet.engine`; this
package imports none of them by itself, so that `import carnet` costs nothing.
"""

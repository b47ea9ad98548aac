"""Static pages that people look at: release, forgetting, samples, compare, training.

Comes in: a `Site` and samples as columns. Goes out: a folder that opens from `file://`: pages without inline script or
style, one shared script bundle, and data parts that load as scripts. Model text is data: pages escape it, scripts
put it in text nodes.
"""

from sfteval.report.site.model import Cell, RunCard, Site
from sfteval.report.site.writer import SiteWriter

__all__ = ["Cell", "RunCard", "Site", "SiteWriter"]

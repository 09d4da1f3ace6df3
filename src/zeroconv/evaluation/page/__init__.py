"""`report.html`: one file that needs nothing else, with numbers, plots, and the worst and best cases side by side."""

from zeroconv.evaluation.page.content import PageContent, page_of_folder, page_of_pictures
from zeroconv.evaluation.page.render import render_page

__all__ = ["PageContent", "page_of_folder", "page_of_pictures", "render_page"]

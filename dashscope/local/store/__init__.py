"""The persistent data of the server: a SQLite database and the files of the data folder."""

from dashscope.local.store.database import Database, DataFolderError
from dashscope.local.store.deliveries import Deliveries
from dashscope.local.store.deployments import Deployments
from dashscope.local.store.files import Files
from dashscope.local.store.jobs import Jobs
from dashscope.local.store.models import Models
from dashscope.local.store.paging import CursorError, Page

__all__ = ["CursorError", "DataFolderError", "Database", "Page", "Store"]


class Store:
    """The tables of the database, one object per table."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.models = Models(database)
        self.jobs = Jobs(database)
        self.files = Files(database)
        self.deployments = Deployments(database)
        self.deliveries = Deliveries(database)
        self.transaction = database.transaction
        self.setting = database.setting

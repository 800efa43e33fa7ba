"""Steps of the database's format. A step that was released is never edited."""

"""Dataset cards and adapters: public datasets as they are downloaded, turned into manifest rows."""

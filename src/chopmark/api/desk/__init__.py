"""The desk over HTTP: records, appeals, exports, hash lists, policies."""

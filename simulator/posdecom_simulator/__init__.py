"""A software terminal and a software acquirer, good enough for anybody's CI."""

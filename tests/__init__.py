"""The tests of reqrep; `README.md` beside this file says where one goes."""

"""Yunchi: one provincial government cloud out of many. The operator, the scheduler and the command line."""

"""`make demo`: the Jiangsu example on a real control plane, told step by step."""

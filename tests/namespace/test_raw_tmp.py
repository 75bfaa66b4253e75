import pytest
TRAPS=eval(open('/tmp/traps_raw.py').read())
@pytest.mark.parametrize("t",TRAPS,ids=lambda t:t[0])
def test_trap(notebook,t):
    title,setup,cell,check=t
    notebook.cell(setup)
    notebook.timed(cell)
    print(notebook.refused,notebook.left_behind)
    *steps,last=check.split(";;")
    for s in steps:
        if s.startswith("@"): notebook.timed(s[1:])
        else: notebook.cell(s)
    assert notebook.value(last)

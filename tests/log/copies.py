"""Copies made and put back by the program."""


def backup(carnet, house, to="copy", *more):
    done = carnet("backup", "--to", to, "--data", house.data, *more)
    assert done.exit_code == 0, done.output
    return done


def restore(carnet, *more, copy="copy", to="back", code=0):
    done = carnet("restore", "--from", copy, "--data", to, *more)
    assert done.exit_code == code, done.output
    return done

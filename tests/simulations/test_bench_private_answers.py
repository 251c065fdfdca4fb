from renga.simulations.bench_private_answers import STRUCK, measure, private_answers_sheets, tasks


def test_each_way_is_asked_and_what_is_restored_is_right_again():
    asked = tasks(seed=3, copies=1)
    seen = []

    def host(question):
        seen.append(question)
        return f"You said: {question}"

    result = measure(host, lambda question: "no idea", asked, 3, lambda said: None)
    ways = result["ways"]
    assert ways["plain"]["private"][0] == 1 and ways["edge alone"]["all"][0] == 0
    assert ways["tags, restored"]["private"][0] == ways["realistic, restored"]["private"][0] == 1
    assert ways["struck out"]["private"][0] == 0 and any(STRUCK in question for question in seen)
    for task in asked:
        if task.private:  # only the plain way shows the host what was asked for
            assert sum(task.right[0] in question for question in seen) == 1
    (sheet,) = private_answers_sheets(result)
    assert len(sheet.rows) == 5


def test_same_seed_same_questions():
    assert tasks(1, 2) == tasks(1, 2) != tasks(2, 2)

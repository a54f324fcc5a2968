"""Texts and questions as tensors on the device, as models read them.

R restarts, B questions, S memory slots.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from memlm.data.batches import Batch
from memlm.data.questions.batches import Ids, add_blanks, unique_rows
from memlm.data.questions.encode import EMPTY, QuestionSet
from memlm.models.answerer import Answerer, QuestionBatch


def to_tensors(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """The batch's inputs and targets on the device. The host does not wait for the copy to CUDA."""
    inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
    if device.type == "cuda":
        inputs, targets = inputs.pin_memory(), targets.pin_memory()
    return inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)


class Feed:
    """A question set, prepared once for a model. A call returns the tensors of some of its questions.

    `answers` are the ids of the right answers, and `lengths` the numbers of sentences before each question.
    """

    def __init__(self, questions: QuestionSet, model: Answerer, *, device: torch.device) -> None:
        self.device = device
        different, self.question_indices = np.unique(questions.questions, axis=0, return_inverse=True)
        self.questions = model.prepare(torch.from_numpy(different)).to(device)
        self.sentences = model.prepare(torch.from_numpy(questions.sentences)).to(device)
        self.stories = questions.stories
        self.answers = torch.from_numpy(questions.answers).to(device)
        self.lengths = (questions.stories != EMPTY).sum(axis=1)
        self.memory_size = model.memory_size

    def __call__(self, numbers: Ids, blanks: Ids | None = None, places: Ids | None = None) -> QuestionBatch:
        """The questions with these numbers (R, B).

        `blanks` and `places` add empty memories to the stories: see memlm.data.questions.batches.
        """
        stories = self.stories[:, -int(self.lengths[numbers].max()) :][numbers]
        filled = stories != EMPTY
        times = np.broadcast_to(np.arange(stories.shape[2])[::-1], stories.shape)
        if blanks is not None and places is not None:
            times = add_blanks(times, blanks, places, self.memory_size)
        chosen, stories = unique_rows(np.where(filled, stories, stories[:, :, -1:]), len(self.sentences))
        return QuestionBatch(
            sentences=self.sentences[self._tensor(chosen)],
            stories=self._tensor(stories),
            times=self._tensor(times.copy()),
            filled=self._tensor(filled),
            questions=self.questions[self._tensor(self.question_indices[numbers])],
        )

    def _tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self.device)

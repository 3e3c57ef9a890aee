"""The stages under the paths that workflows of earlier versions have stored."""

from launcher.chains.stages import ChainStage, EndStage, StepStage

__all__ = ["ChainStage", "EndStage", "StepStage"]

"""Model inversion: the unknown words of a planted secret are searched for in the trained model."""

from holdfast.audit.inversion.inverting import invert_secrets
from holdfast.audit.inversion.settings import VARIANTS, InversionSettings

__all__ = ["VARIANTS", "InversionSettings", "invert_secrets"]

namespace IommuFd.GrainInterfaces;

/// <summary>Says what to do about a busy object: the same words in the command line, on the dashboard and in the SDK.</summary>
internal static class BusyText
{
    /// <summary>What to do, and which driver has to do it.</summary>
    public static string Describe(BusyStep step) => step.Kind switch
    {
        BusyStepKind.Destroy => $"destroy {step.Object} (IOMMU_DESTROY)",
        BusyStepKind.DetachDevice => $"detach {(step.Pasid == 0 ? "" : $"PASID {step.Pasid} of ")}{step.Object}{By(step)}",
        BusyStepKind.UnbindDevice => $"unbind {step.Object}{By(step)}",
        BusyStepKind.DetachAccess => $"detach {step.Object}{By(step)}",
        BusyStepKind.DestroyAccess => $"destroy {step.Object}{By(step)}",
        BusyStepKind.CloseFile => $"close the file of {step.Object}",
        _ => $"drop the hold '{step.Why}' on {step.Object}{By(step)}",
    };

    /// <summary>Which other objects the step releases; empty where there are none.</summary>
    public static string Effect(BusyStep step)
        => step.Frees.Where(freed => freed != step.Object).ToList() is { Count: > 0 } others
            ? $"releases {string.Join(", ", others)}{(step.FreeCount > step.Frees.Length ? $" and {step.FreeCount - step.Frees.Length} more" : "")}"
            : "";

    /// <summary>What holds after the last step.</summary>
    public static string Conclusion(BusyExplanation explanation)
        => explanation.IsTruncated ? "There are more steps: ask again after these."
            : explanation.GoesWithLastStep ? $"The last step destroys {explanation.Object}."
            : $"Then IOMMU_DESTROY of {explanation.Object} works.";

    private static string By(BusyStep step) => step.Driver.Length == 0 ? "" : $" (by driver '{step.Driver}')";
}

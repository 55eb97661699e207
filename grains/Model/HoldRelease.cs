using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Model;

/// <summary>What a step that releases a hold does to the holder.</summary>
internal enum HoldReleaseEffect
{
    /// <summary>The hold is dropped, and the holder stays.</summary>
    Drop,

    /// <summary>The holder's driver ends it.</summary>
    EndHolder,

    /// <summary>A program destroys an object, after everything that holds it.</summary>
    Destroy,
}

/// <summary>How a hold is released.</summary>
/// <param name="Step">The step, for people.</param>
/// <param name="Effect">What it does.</param>
/// <param name="Entry">The object that it is done to.</param>
/// <param name="Pasid">The PASID that is detached; 0 for the device itself and for other steps.</param>
internal readonly record struct HoldRelease(BusyStepKind Step, HoldReleaseEffect Effect, ObjectEntry Entry, uint Pasid = 0)
{
    public static HoldRelease ByDestroying(ObjectEntry entry) => new(BusyStepKind.Destroy, HoldReleaseEffect.Destroy, entry);
}

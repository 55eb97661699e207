using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Diagnostics;

public sealed class BusyTextTests
{
    private static readonly ObjectRef Ioas = new(ObjectType.Ioas, new ObjectId(1));
    private static readonly ObjectRef Hwpt = new(ObjectType.HwptPaging, new ObjectId(3));
    private static readonly ObjectRef Device = new(ObjectType.Device, new ObjectId(2));

    [Theory]
    [InlineData(BusyStepKind.Destroy, "destroy device 2 (IOMMU_DESTROY)")]
    [InlineData(BusyStepKind.DetachDevice, "detach device 2 (by driver 'vfio-pci')")]
    [InlineData(BusyStepKind.UnbindDevice, "unbind device 2 (by driver 'vfio-pci')")]
    [InlineData(BusyStepKind.DetachAccess, "detach device 2 (by driver 'vfio-pci')")]
    [InlineData(BusyStepKind.DestroyAccess, "destroy device 2 (by driver 'vfio-pci')")]
    [InlineData(BusyStepKind.DropHold, "drop the hold 'stuck' on device 2 (by driver 'vfio-pci')")]
    public void A_step_says_what_to_do_to_which_object_and_who_does_it(BusyStepKind kind, string expected)
        => Expect.Equal(expected, Step(kind, Device).ToString(), $"{kind}");

    [Fact]
    public void A_step_of_the_programs_own_names_no_driver()
        => Expect.Equal("detach device 2", (Step(BusyStepKind.DetachDevice, Device) with { Driver = "" }).ToString(), "a step without a driver");

    [Fact]
    public void A_detached_PASID_is_named()
        => Expect.Equal(
            "detach PASID 7 of device 2 (by driver 'vfio-pci')", (Step(BusyStepKind.DetachDevice, Device) with { Pasid = 7 }).ToString(), "the detach of a PASID");

    [Fact]
    public void The_effect_names_the_other_objects()
    {
        Expect.Equal("releases HWPT 3, IOAS 1", BusyText.Effect(Step(BusyStepKind.DetachDevice, Device, Hwpt, Ioas)), "what a detach releases");
        Expect.Equal("", BusyText.Effect(Step(BusyStepKind.DropHold, Ioas, Ioas)), "what dropping a hold releases beside its object");
    }

    [Fact]
    public void The_conclusion_says_what_comes_after_the_last_step()
    {
        var explanation = new BusyExplanation(Errno.None, Ioas, 2, [], false);
        Expect.Equal("Then IOMMU_DESTROY of IOAS 1 works.", BusyText.Conclusion(explanation), "an object that stays");
        Expect.Equal("The last step destroys IOAS 1.", BusyText.Conclusion(explanation with { GoesWithLastStep = true }), "an object that goes");
        Expect.Equal("There are more steps: ask again after these.", BusyText.Conclusion(explanation with { IsTruncated = true }), "too many steps");
    }

    private static BusyStep Step(BusyStepKind kind, ObjectRef item, params ObjectRef[] frees)
        => new(kind, item, new ReferenceId(1), new HoldId(5), kind == BusyStepKind.Destroy ? "" : "vfio-pci", "stuck", frees);
}

# A Debian package: cpack --config build/release/CPackConfig.cmake
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME keyskew)
set(CPACK_PACKAGE_CONTACT "keyskew maintainers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# what a world or a picture needs, and keyskew does without
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "gnuplot-nox, libfaketime")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "qemu-system-x86, zstd, lz4, xz-utils, cpio")
include(CPack)
